#include "icc.h"

#include <lcms2.h>
#include <math.h>

/* Chromatically adapted to D50, as profiles have them; they differ between makers in the fourth digit. */
static const double srgb_colorants[3][3] = { { 0.4361, 0.2225, 0.0139 }, { 0.3851, 0.7169, 0.0971 }, { 0.1431, 0.0606, 0.7142 } };
static const double colorant_tolerance = 0.003, curve_tolerance = 0.004;

static double srgb_curve(double x)
{
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

static cmsHPROFILE open_profile(GBytes *icc)
{
    gsize size;
    const void *data = g_bytes_get_data(icc, &size);
    return size <= G_MAXUINT32 ? cmsOpenProfileFromMem(data, (cmsUInt32Number)size) : NULL;
}

static bool is_plain_rgb(cmsHPROFILE profile)
{
    return cmsGetColorSpace(profile) == cmsSigRgbData && cmsIsMatrixShaper(profile) && !cmsIsTag(profile, cmsSigAToB0Tag);
}

static bool has_colorant(cmsHPROFILE profile, cmsTagSignature tag, const double xyz[3])
{
    const cmsCIEXYZ *found = cmsReadTag(profile, tag);
    return found != NULL && fabs(found->X - xyz[0]) < colorant_tolerance && fabs(found->Y - xyz[1]) < colorant_tolerance &&
           fabs(found->Z - xyz[2]) < colorant_tolerance;
}

static bool has_curve(cmsHPROFILE profile, cmsTagSignature tag)
{
    const cmsToneCurve *curve = cmsReadTag(profile, tag);
    if (curve == NULL)
        return false;
    for (double x = 0.1; x < 1; x += 0.1)
        if (fabs(cmsEvalToneCurveFloat(curve, (cmsFloat32Number)x) - srgb_curve(x)) > curve_tolerance)
            return false;
    return true;
}

static bool is_srgb(cmsHPROFILE profile)
{
    static const cmsTagSignature colorants[] = { cmsSigRedColorantTag, cmsSigGreenColorantTag, cmsSigBlueColorantTag };
    static const cmsTagSignature curves[] = { cmsSigRedTRCTag, cmsSigGreenTRCTag, cmsSigBlueTRCTag };
    for (unsigned i = 0; i < G_N_ELEMENTS(colorants); i++)
        if (!has_colorant(profile, colorants[i], srgb_colorants[i]) || !has_curve(profile, curves[i]))
            return false;
    return true;
}

bool icc_is_plain_rgb(GBytes *icc)
{
    cmsHPROFILE profile = open_profile(icc);
    const bool is = profile != NULL && is_plain_rgb(profile);
    if (profile != NULL)
        cmsCloseProfile(profile);
    return is;
}

bool icc_is_srgb(GBytes *icc)
{
    cmsHPROFILE profile = open_profile(icc);
    const bool is = profile != NULL && is_plain_rgb(profile) && is_srgb(profile);
    if (profile != NULL)
        cmsCloseProfile(profile);
    return is;
}
